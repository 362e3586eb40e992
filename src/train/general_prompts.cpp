// Fixed prompts about everyday things. The base's own answers to the first list are mixed into
// training, those to the second only measure how far the adapter has drifted from the base.

#include <string>
#include <vector>

#include "train/general_rows.h"

namespace dlm {

namespace {

constexpr std::string_view kMixed[] = {
    "Tell me a story.",
    "Who are you?",
    "What is your name?",
    "How are you today?",
    "What is the capital of France?",
    "How do I boil an egg?",
    "Why is the sky blue?",
    "What should I read next?",
    "Can you help me?",
    "What time is it?",
    "Write a poem about the moon.",
    "Say something kind.",
    "What do you think of winter?",
    "Where does the river go?",
    "How many days are in a week?",
    "What is two plus two?",
    "Explain how a clock works.",
    "What is the best way to learn?",
    "Describe a quiet morning.",
    "Who was the first king?",
    "What makes people happy?",
    "Give me a recipe for soup.",
    "What is the largest animal?",
    "How far away is the sun?",
    "Tell me about horses.",
    "What did you do yesterday?",
    "Is it going to rain?",
    "How do birds fly?",
    "What is a good gift for a friend?",
    "Why do leaves fall?",
    "Which way to the station?",
    "How old is the earth?",
    "Summarize your day in one sentence.",
    "What is music for?",
    "Name three colours.",
    "Count to five.",
    "What do doctors do?",
    "How do I write a letter?",
    "Where can I buy bread?",
    "What is the opposite of hot?",
    "Tell me a joke.",
    "What happened next?",
    "Do you like children?",
    "What is love?",
    "How does one become rich?",
    "When did the war end?",
    "What is the price of tea?",
    "Is there a doctor here?",
    "How can I sleep better?",
    "What does the word honest mean?",
    "Please translate this sentence.",
    "Which city is the oldest?",
    "Who painted that picture?",
    "What is the matter with you?",
    "How do I plant a tree?",
    "What would you do with a hundred pounds?",
    "Where did I leave my keys?",
    "Why is the sea salty?",
    "What language do they speak there?",
    "Give me some advice.",
    "What is the name of your dog?",
    "How tall is that mountain?",
    "Should I stay or should I go?",
    "Good night.",
};

constexpr std::string_view kMeasured[] = {
    "What is your favourite season?",
    "How do I make a cup of coffee?",
    "Tell me about the stars.",
    "Who lives in that house?",
    "What is the fastest way to travel?",
    "Describe an old man.",
    "Why are you crying?",
    "What do cats eat?",
    "How long is a mile?",
    "What shall we play?",
    "Which month has the fewest days?",
    "Is the shop open on Sunday?",
};

// "%" stands for the thing.
constexpr std::string_view kForms[] = {
    "Describe a %.",
    "What is a %?",
    "Why do people need a %?",
    "How do you draw a %?",
    "Write two lines about a %.",
    "Have you ever seen a %?",
    "Put the word % into another tongue.",
    "Who invented the %?",
    "Where can one find a %?",
    "Compare a % with a cloud.",
    "Is a % useful?",
    "When was the first % made?",
    "Should I be afraid of a %?",
    "How much does a % weigh?",
    "Which % is the best?",
    "Tell us everything about the %.",
};

constexpr std::string_view kThings[] = {
    "violin",   "desert",        "general", "triangle", "prison", "lawyer",     "rocket",
    "wedding",  "tiger",         "grammar", "island",   "fever",  "parliament", "battle",
    "painting", "bicycle",       "king",    "number",   "ghost",  "camera",     "market",
    "football", "religion",      "mirror",  "pirate",   "school", "earthquake", "coin",
    "language", "doctor",        "diamond", "computer", "forest", "dream",      "newspaper",
    "sword",    "planet's moon", "theatre", "garden",   "judge",  "orange",     "machine",
    "shadow",   "village",       "emperor", "letter",   "snake",  "secret",
};

// How many crossed prompts follow the fixed ones.
constexpr size_t kNumCrossed = 128;

std::vector<std::string> make_mixed() {
  std::vector<std::string> prompts(std::begin(kMixed), std::end(kMixed));
  for (size_t i = 0; i < kNumCrossed; ++i) {
    std::string prompt(kForms[i % std::size(kForms)]);
    // 7 has no factor in common with 48, so forms and things meet in ever new pairs.
    prompt.replace(prompt.find('%'), 1,
                   kThings[(i * 7 + i / std::size(kForms)) % std::size(kThings)]);
    prompts.push_back(std::move(prompt));
  }
  return prompts;
}

}  // namespace

std::span<const std::string> mixed_general_prompts() {
  static const std::vector<std::string> prompts = make_mixed();
  return prompts;
}
std::span<const std::string_view> measured_general_prompts() {
  return kMeasured;
}

}  // namespace dlm
