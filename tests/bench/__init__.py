"""Figures: what a run costs over restic itself, and how the playbook and the status table grow with the number of jobs."""
