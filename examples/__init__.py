"""Applications that show Ferryman at work. Each folder stands for itself."""
