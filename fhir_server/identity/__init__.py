"""Who a patient is: what several hospitals say about one person."""
