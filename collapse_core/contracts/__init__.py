"""What parts are made of: their interfaces, the records that pass between them, seeds, statistics."""
