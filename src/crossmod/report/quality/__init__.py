"""Pages of quality control: one for all preprocessed sessions of a study, and one for each."""
