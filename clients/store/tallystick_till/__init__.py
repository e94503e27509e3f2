"""The till that keeps its promise when the line is down."""
