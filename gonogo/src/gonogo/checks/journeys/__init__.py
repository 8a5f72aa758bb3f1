"""What users do with the service, walked on the scratch copy (section 5.2)."""
