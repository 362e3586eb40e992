#!/usr/bin/env python3
"""One LoRA training step of transformers + PEFT, timed, on the shapes of SmolLM2-135M with random weights.

Prints one JSON line: tokens_per_s (median), its spread, and the peak memory of the process in MiB.
Exits with 77 ("skipped") when torch, transformers or peft cannot be imported.
"""

import argparse
import json
import os
import resource
import statistics
import sys
import time


def parse():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dtype", choices=["fp32", "bf16"], default="bf16")
    parser.add_argument("--checkpointing", action="store_true", help="recompute activations")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--rows", type=int, default=2)
    parser.add_argument("--row-tokens", type=int, default=512)
    parser.add_argument("--steps", type=int, default=5)
    return parser.parse_args()


def main():
    args = parse()
    os.environ.setdefault("OMP_NUM_THREADS", str(args.threads))
    try:
        import torch
        if not hasattr(torch, "compiler"):  # an old torch with a compatibility module on the path
            import torch_compat  # noqa: F401
        import peft
        from transformers import LlamaConfig, LlamaForCausalLM
    except ImportError as missing:
        print(f"skipped: {missing}", file=sys.stderr)
        return 77
    has_fused_attention = hasattr(torch.nn.functional, "scaled_dot_product_attention")
    torch.manual_seed(0)
    torch.set_num_threads(args.threads)
    shapes = LlamaConfig(
        vocab_size=49152, hidden_size=576, intermediate_size=1536, num_hidden_layers=30,
        num_attention_heads=9, num_key_value_heads=3, max_position_embeddings=8192,
        rope_theta=100000.0, rms_norm_eps=1e-5, tie_word_embeddings=True,
        attn_implementation="sdpa" if has_fused_attention else "eager")
    model = LlamaForCausalLM(shapes)
    if args.dtype == "bf16":
        model = model.to(torch.bfloat16)
    adapter = peft.LoraConfig(
        r=8, lora_alpha=16, lora_dropout=0.0, task_type="CAUSAL_LM",
        target_modules=["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"])
    model = peft.get_peft_model(model, adapter)
    if args.checkpointing:
        model.enable_input_require_grads()
        model.gradient_checkpointing_enable()
    model.train()
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-4)
    tokens = torch.randint(0, shapes.vocab_size, (args.rows, args.row_tokens))

    def step():
        begin = time.monotonic()
        optimizer.zero_grad()
        model(input_ids=tokens, labels=tokens).loss.backward()
        optimizer.step()
        return tokens.numel() / (time.monotonic() - begin)

    step()
    rates = [step() for _ in range(args.steps)]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"dtype": args.dtype, "threads": args.threads,
                      "tokens_per_s": round(statistics.median(rates), 1),
                      "spread": [round(min(rates), 1), round(max(rates), 1)],
                      "peak_rss_mb": round(peak)}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
