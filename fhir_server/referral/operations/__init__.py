"""The $operations of a referral Task."""
