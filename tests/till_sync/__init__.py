"""How a till keeps its picture of the members, and how it and its gateway talk."""
