"""Runs as files for other people's tools: CSV, Parquet, COCO, a model card, inputs of Hugging Face ``evaluate``."""
