"""Release control: readiness by evidence, deployment, watch and rollback on one record."""

__version__ = "0.1.0"
