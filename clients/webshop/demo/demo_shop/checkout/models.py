"""Oscar's checkout has no models."""
