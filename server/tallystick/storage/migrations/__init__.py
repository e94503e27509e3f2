"""The history of the schema; ``tallystick.storage.schema`` runs it."""
