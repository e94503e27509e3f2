"""What members carry: passes in phone wallets."""
