"""Fine-tuning on somebody's own data: LoRA, checkpoints, memory, and the run itself."""
