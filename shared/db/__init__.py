"""PostgreSQL: the engine, the tables, and one module of named queries for each noun."""
