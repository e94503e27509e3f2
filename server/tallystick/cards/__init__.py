"""What members carry: cards on paper and plastic, and passes in phone wallets."""
