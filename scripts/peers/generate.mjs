// Greedy text of llama.cpp: generate.mjs MODEL.gguf PROMPT.txt EXPECTED.txt [ADAPTER.gguf]
// The prompt is tokenized as text with special tokens. Fails where the answer is not the expected
// text, as far as that goes.
import { readFileSync } from 'node:fs';
import { getLlama } from 'node-llama-cpp';

const [model_path, prompt_path, expected_path, lora] = process.argv.slice(2);
const prompt = readFileSync(prompt_path, 'utf8');
const expected = readFileSync(expected_path, 'utf8').trim();

const llama = await getLlama({ build: 'never', gpu: false, logLevel: 'error', progressLogs: false });
const model = await llama.loadModel({ modelPath: model_path, gpuLayers: 0 });
const context = await model.createContext({ contextSize: 512, ...(lora ? { lora } : {}) });
const sequence = context.getSequence();
const { shouldPrependBosToken, bos } = model.tokens;
const prompt_tokens = model.tokenize(prompt, true);
if (shouldPrependBosToken && prompt_tokens[0] !== bos) prompt_tokens.unshift(bos);
const produced = [];
let answer = '';
for await (const token of sequence.evaluate(prompt_tokens, { temperature: 0 })) {
  if (model.isEogToken(token)) break;
  produced.push(token);
  answer = model.detokenize(produced, false, prompt_tokens).trim();
  if (answer.length >= expected.length) break;
}
await context.dispose();
await model.dispose();
if (!answer.startsWith(expected)) {
  console.error(`${model_path}: llama.cpp says\n  ${answer}\nexpected\n  ${expected}`);
  process.exit(1);
}
console.log(`${model_path}${lora ? ' with ' + lora : ''}: the same text`);
