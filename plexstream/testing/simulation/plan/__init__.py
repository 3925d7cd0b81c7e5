"""What a seed decides before its schedule begins."""
