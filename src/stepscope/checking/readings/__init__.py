"""What several rules ask of the record: no verdicts, only facts put together."""
