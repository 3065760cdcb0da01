"""Rounds with people: which samples were chosen, who said what, and what came of it."""
