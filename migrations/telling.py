"""How a table is made to tell of itself: the triggers that write the outbox, made of what a row's change is called."""

# ruff: noqa: S608 - the statements are made of the words of migrations, and of nobody else's

from dataclasses import dataclass

from alembic import op

EVENTS = "INSERT INTO events (account_id, kind, at, body)"


@dataclass(frozen=True)
class Told:
    """What a row `n` is called, when it was, and its body: columns as they are, columns as text, and others."""

    kind: str
    at: str
    plain: str = ""
    text: str = ""
    other: str = ""
    was: str | None = None
    """The column whose value before the change is told too, as `was`."""
    added: str = ""
    """What a new row is called, where that is something else."""
    key: str = "account_id id"
    account: str = "account_id"

    @property
    def body(self) -> str:
        """The SQL of the body."""
        plain = [f"'{name}', n.{name}" for name in self.plain.split()]
        text = [f"'{name}', n.{name}::text" for name in self.text.split()]
        return f"jsonb_build_object({', '.join([*plain, *text, *filter(None, [self.other])])})"


def on_insert(told: Told, kind: str = "", at: str = "", rows: str = "new_rows") -> str:
    """Return the statement that tells of rows that are new."""
    was = " || '{\"was\": null}'" if told.was else ""
    return f"""
        {EVENTS} SELECT n.{told.account}, '{kind or told.added or told.kind}', {at or told.at}, {told.body}{was}
        FROM {rows} n ORDER BY {_each("n.{}", told.key)}
    """


def on_update(told: Told) -> str:
    """Return the statement that tells of rows of which something is otherwise that is told."""
    was = f" || jsonb_build_object('was', o.{told.was})" if told.was else ""
    return f"""
        {EVENTS} SELECT n.{told.account}, '{told.kind}', {told.at}, {told.body}{was}
        FROM new_rows n JOIN old_rows o ON {_each("o.{0} = n.{0}", told.key, " AND ")}
        WHERE {told.body} IS DISTINCT FROM {told.body.replace("n.", "o.")} ORDER BY {_each("n.{}", told.key)}
    """


def _each(form: str, key: str, between: str = ", ") -> str:
    return between.join(form.format(column) for column in key.split())


def tell(table: str, operation: str, statement: str, *, name: str = "") -> None:
    """Have *statement* told after each *operation* on the table, with the rows as they were and as they are."""
    function = f"tell_{name or table}_{operation}"
    rows = {"insert": "NEW TABLE AS new_rows", "delete": "OLD TABLE AS old_rows"}
    both = "OLD TABLE AS old_rows NEW TABLE AS new_rows"
    op.execute(f"""
        CREATE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql SET timezone TO 'UTC' AS $$
        BEGIN
            {statement};
            RETURN NULL;
        END $$
    """)
    op.execute(f"""
        CREATE TRIGGER {function} AFTER {operation} ON {table}
        REFERENCING {rows.get(operation, both)} FOR EACH STATEMENT EXECUTE FUNCTION {function}()
    """)
