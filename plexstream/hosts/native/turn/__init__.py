"""The running turn, what others see beside it, and what becomes of it when it fails."""
