// Fixed prompts about everyday things. The base's own answers to the first list are mixed into
// training, those to the second only measure how far the adapter has drifted from the base.

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

}  // namespace

std::span<const std::string_view> mixed_general_prompts() {
  return kMixed;
}
std::span<const std::string_view> measured_general_prompts() {
  return kMeasured;
}

}  // namespace dlm
