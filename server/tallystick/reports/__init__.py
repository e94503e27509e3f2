"""What a retailer reads before deciding: what a program would have cost, and whom a change helps or hurts."""
