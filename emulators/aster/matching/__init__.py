"""What becomes of orders as market time goes by: admission, matching, funding, liquidation."""
