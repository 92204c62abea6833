"""Training: what train_stage1.py and train_stage2.py share."""
