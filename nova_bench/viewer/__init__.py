"""Pages on which every sample of a run can be looked at: the picture, what was asked, what came back, and what was made of it."""
