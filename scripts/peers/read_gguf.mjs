// Opens GGUF files with a reader that is not ours. Each argument is a file; prints one line each.
import { gguf } from '@huggingface/gguf';

for (const path of process.argv.slice(2)) {
  const { metadata, tensorInfos } = await gguf(path, { allowLocalFile: true });
  if (tensorInfos.length === 0) throw new Error(`${path}: no tensors`);
  const type = metadata['general.type'];
  console.log(`${path}: ${metadata['general.architecture']} ${type}, ${tensorInfos.length} tensors`);
}
