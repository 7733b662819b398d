"""The records of decisions: documents named by their content, each kept once, and the manifest of every cycle."""

from collections.abc import Mapping
from functools import cache

from pydantic import TypeAdapter, ValidationError
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.db.batch import insert_all
from shared.db.tables import documents, prompt_versions, records
from shared.domain.cycle import StageRequest
from shared.domain.errors import RecordBroken, UnknownRecord
from shared.domain.model import PromptVersion
from shared.domain.record import DecisionRecord, RecordId, StoredRecord, parts_of, put_together, take_apart


class RecordTable:
    """The `Records` port."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def save(self, record: DecisionRecord) -> str:
        """Store the record of a cycle and return its name. What a cycle has decided stays as it is."""
        stored = take_apart(record)
        day = record.tick.date()
        # In one order always: two accounts that share documents must not wait for each other in a circle.
        rows = [{"name": name, "body": body, "last_used": day} for name, body in sorted(stored.documents.items())]
        parts = insert_all(documents, rows)
        parts = parts.on_conflict_do_update(
            index_elements=[documents.c.name],
            set_={"last_used": parts.excluded.last_used},
            where=documents.c.last_used < parts.excluded.last_used,
        )
        cycle = {"account_id": record.account_id, "tick": record.tick, "manifest": stored.name}
        manifest = insert(records).values(**cycle).on_conflict_do_nothing()
        await self._connection.execute(manifest.add_cte(parts.cte("parts")))
        return stored.name

    async def find(self, wanted: RecordId) -> tuple[StageRequest, StoredRecord]:
        """Return the cycle that is meant, and what is kept of it. Raises UnknownRecord, and RecordBroken."""
        cycle, name = await self._meant(wanted)
        manifest = await self._bodies([name])
        bodies = await self._bodies(list(parts_of(name, manifest.get(name)).values()))
        return cycle, StoredRecord(name, {**manifest, **bodies})

    async def cycle(self, wanted: RecordId) -> StageRequest:
        """Return the cycle that is meant. Raises UnknownRecord."""
        cycle, _ = await self._meant(wanted)
        return cycle

    async def _meant(self, wanted: RecordId) -> tuple[StageRequest, str]:
        statement = select(records).limit(2)
        if wanted.prefix is not None:
            statement = statement.where(records.c.manifest.startswith(wanted.prefix, autoescape=True))
            meant = f"whose name begins with {wanted.prefix}"
        else:
            statement = statement.where(records.c.account_id == wanted.account_id, records.c.tick == wanted.tick)
            meant = f"of account {wanted.account_id} at {wanted.tick:%Y-%m-%dT%H:%M:%SZ}"
        if wanted.within is not None:
            statement = statement.where(records.c.account_id == wanted.within)
        found = (await self._connection.execute(statement)).all()
        if not found:
            raise UnknownRecord(f"there is no decision on record {meant}")
        if len(found) > 1:
            raise UnknownRecord(f"there are several decisions {meant}: write more of it, or account@tick")
        [row] = found
        return StageRequest(row.account_id, row.tick), row.manifest

    async def get(self, wanted: RecordId) -> DecisionRecord:
        """Return the record that is meant, once every part proved to be as written. Raises as `find` does."""
        return read_record(*await self.find(wanted))

    async def keep_prompt(self, prompt: PromptVersion) -> None:
        """Store the text of a template; one that is known already stays as it is."""
        values = {"version": prompt.version, "text": prompt.text}
        await self._connection.execute(insert(prompt_versions).values(**values).on_conflict_do_nothing())

    async def prompt(self, version: str) -> PromptVersion | None:
        """Return the template that had that version."""
        text = await self._connection.scalar(select(prompt_versions.c.text).where(prompt_versions.c.version == version))
        return None if text is None else PromptVersion(version, text)

    async def _bodies(self, names: list[str]) -> Mapping[str, str]:
        found = await self._connection.execute(
            select(documents.c.name, documents.c.body).where(documents.c.name.in_(names))
        )
        return {row.name: row.body for row in found}


def read_record(cycle: StageRequest, stored: StoredRecord) -> DecisionRecord:
    """Return the record in *stored*. Raises RecordBroken where it is not as written, or not that of *cycle*."""
    whole = put_together(stored)
    try:
        record = _adapter().validate_python(whole)
    except ValidationError as exc:
        flaw = exc.errors(include_input=False, include_url=False)[0]
        problem = f"{'.'.join(map(str, flaw['loc']))}: {flaw['msg']}"
        raise RecordBroken(f"the record {stored.name[:12]} is of another version: {problem}", (problem,)) from None
    if (record.account_id, record.tick) != (cycle.account_id, cycle.tick):
        problem = f"the manifest is that of {record.account_id}@{record.tick.isoformat()}"
        raise RecordBroken(f"the record {stored.name[:12]} belongs to another decision: {problem}", (problem,))
    return record


@cache
def _adapter() -> TypeAdapter[DecisionRecord]:
    """Built at first use because that takes milliseconds."""
    return TypeAdapter(DecisionRecord)
