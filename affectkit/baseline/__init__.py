"""Action units relative to each person's own neutral face: the rule, where the neutral is found, corrected tables."""
