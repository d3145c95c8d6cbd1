"""Train edits on a chosen device, in a chosen dtype and batch size. Without a GPU it runs on the CPU.

python examples/edit_on_gpu.py zsre.jsonl --base meta-llama/Llama-2-7b-chat-hf --dtype bfloat16 --batch-size 128
"""

import argparse
from pathlib import Path

import torch

from scen_hf import SCENTrainer, SCENTrainingConfig, load_base, load_edits
from scen_hf.bases import choose_device, choose_dtype


def main() -> None:
    """Train and save, and say how fast and with how much memory."""
    parser = argparse.ArgumentParser(description="Train edits on a GPU.")
    parser.add_argument("edits", nargs="?", default=Path(__file__).with_name("edits.jsonl"), help="file of edits")
    parser.add_argument("--base", default="smollm2-135m-instruct", help="folder or Hub id of a Llama")
    parser.add_argument("--out", default="gpu-facts", help="folder for the pack")
    parser.add_argument("--device", type=torch.device, help="cuda, cuda:1, mps, cpu; by default the best there is")
    parser.add_argument("--dtype", help="float32, bfloat16, float16; by default bfloat16 where it is fast")
    parser.add_argument("--batch-size", type=int, default=64, help="edits side by side; halved when memory runs out")
    parser.add_argument("--limit", type=int, help="read the first edits only")
    args = parser.parse_args()

    device = args.device or choose_device()
    dtype = getattr(torch, args.dtype) if args.dtype else choose_dtype(device)
    print(f"Training on {device} in {dtype}")
    model, tokenizer = load_base(args.base, device=device, dtype=dtype)
    trainer = SCENTrainer(model, tokenizer, SCENTrainingConfig(batch_size=args.batch_size))
    pack = trainer.train(load_edits(args.edits, limit=args.limit))
    pack.save_pretrained(args.out)

    report = pack.report
    seconds = report["stage1_seconds"]
    print(f"{report['edits']} experts in {seconds:.1f} s, {report['edits'] / seconds:.1f} per second")
    print(f"neurons: {report['stage2_seconds']:.1f} s, the router of the base model included on first use")
    print(f"converged: {report['converged']:.1%}")
    if device.type == "cuda":
        print(f"peak memory: {torch.cuda.max_memory_allocated(device) / 2**30:.1f} GiB")


if __name__ == "__main__":
    main()
