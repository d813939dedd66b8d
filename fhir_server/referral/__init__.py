"""Referral between hospitals: one guard table behind plain Task updates and $operations."""
