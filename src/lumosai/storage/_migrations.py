"""The schema, as numbered steps. A step is recorded once applied and is never edited after a release.

Each states the oldest program that may still run against it: expansion first, contraction a release later.
"""

from __future__ import annotations

from typing import NamedTuple

from lumosai.storage._ids import PACKED_IN_POSTGRES


class Migration(NamedTuple):
    """One step of the schema.

    Attributes:
        number: from 1, without gaps.
        oldest: the least number of steps that a program must know of to use a database that has this one.
        statements: in order.
        sqlite: behind them, in SQLite only: how its tables lie on the disk; `packed_id` is `_ids.packed`.
        postgres: likewise, in PostgreSQL only, and in its own words.
    """

    number: int
    oldest: int
    statements: tuple[str, ...]
    sqlite: tuple[str, ...] = ()
    postgres: tuple[str, ...] = ()


MIGRATIONS = (
    Migration(
        1,
        1,
        (
            # A thread is found by tenant, owner ('' is none) and the id that its user gave it.
            """CREATE TABLE threads (
                key {key},
                tenant TEXT NOT NULL, owner TEXT NOT NULL, id TEXT NOT NULL,
                resource_id TEXT NOT NULL, agent_id TEXT NOT NULL,
                title TEXT NOT NULL, metadata TEXT NOT NULL,
                version BIGINT NOT NULL, active BIGINT NOT NULL, messages BIGINT NOT NULL,
                created_at {real} NOT NULL, updated_at {real} NOT NULL,
                UNIQUE (tenant, owner, id))""",
            "CREATE INDEX threads_by_time ON threads (tenant, updated_at, key)",
            "CREATE INDEX threads_of_owner ON threads (tenant, owner, updated_at, key)",
            "CREATE INDEX threads_of_resource ON threads (tenant, resource_id, updated_at, key)",
            # A branch's own messages have the numbers above `start`; what comes before lies in other branches, by segment.
            """CREATE TABLE branches (
                key {key}, thread BIGINT NOT NULL, number BIGINT NOT NULL,
                start BIGINT NOT NULL, last BIGINT NOT NULL, created_at {real} NOT NULL,
                UNIQUE (thread, number))""",
            """CREATE TABLE segments (
                branch BIGINT NOT NULL, first BIGINT NOT NULL, last BIGINT NOT NULL, source BIGINT NOT NULL,
                PRIMARY KEY (branch, first)){by_key}""",
            "CREATE INDEX segments_of_source ON segments (source, branch)",
            """CREATE TABLE messages (
                branch BIGINT NOT NULL, seq BIGINT NOT NULL, id TEXT NOT NULL, role TEXT NOT NULL,
                run_id TEXT NOT NULL, at {real} NOT NULL, body TEXT NOT NULL,
                PRIMARY KEY (branch, seq)){by_key}""",
            "CREATE UNIQUE INDEX messages_by_id ON messages (id, branch)",
            # Media and other large content, once a tenant; `uses` says who refers to it.
            """CREATE TABLE contents (
                tenant TEXT NOT NULL, hash TEXT NOT NULL, size BIGINT NOT NULL, created_at {real} NOT NULL,
                data {data} NOT NULL, PRIMARY KEY (tenant, hash))""",
            """CREATE TABLE uses (
                branch BIGINT NOT NULL, seq BIGINT NOT NULL, hash TEXT NOT NULL, tenant TEXT NOT NULL,
                PRIMARY KEY (branch, seq, hash)){by_key}""",
            "CREATE INDEX uses_of_hash ON uses (tenant, hash)",
        ),
    ),
    Migration(
        2,
        1,
        (
            # A root run with its lease; its sub-runs are found by `children`.
            """CREATE TABLE runs (
                key {key}, id TEXT NOT NULL UNIQUE, tenant TEXT NOT NULL, owner TEXT NOT NULL,
                agent TEXT NOT NULL, definition TEXT NOT NULL, thread_id TEXT NOT NULL, has_context BIGINT NOT NULL,
                status TEXT NOT NULL, reason TEXT NOT NULL, last BIGINT NOT NULL, epoch BIGINT NOT NULL,
                started_at {real} NOT NULL, updated_at {real} NOT NULL,
                lease TEXT NOT NULL, until {real} NOT NULL, fence BIGINT NOT NULL)""",
            "CREATE INDEX runs_by_time ON runs (tenant, started_at, key)",
            "CREATE INDEX runs_by_status ON runs (status, until)",
            "CREATE TABLE children (id TEXT PRIMARY KEY, run BIGINT NOT NULL)",
            "CREATE INDEX children_of_run ON children (run)",
            # Events, a batch a row: JSON objects, one on a line, with the numbers from `first` to `last`.
            """CREATE TABLE events (
                run BIGINT NOT NULL, first BIGINT NOT NULL, last BIGINT NOT NULL, data {data} NOT NULL,
                PRIMARY KEY (run, first))""",
            """CREATE TABLE run_uses (
                run BIGINT NOT NULL, hash TEXT NOT NULL, tenant TEXT NOT NULL, PRIMARY KEY (run, hash)){by_key}""",
            "CREATE INDEX run_uses_of_hash ON run_uses (tenant, hash)",
        ),
    ),
    Migration(
        3,
        1,
        (
            # What was learned of models at their endpoints, for all of a tenant.
            """CREATE TABLE experience (
                tenant TEXT NOT NULL, name TEXT NOT NULL, at {real} NOT NULL, data {data} NOT NULL,
                PRIMARY KEY (tenant, name)){by_key}""",
        ),
    ),
    Migration(
        4,
        1,
        (
            # What others ask of a run that is at work elsewhere, or paused.
            """CREATE TABLE inbox (
                key {key}, run_id TEXT NOT NULL, id TEXT NOT NULL UNIQUE, kind TEXT NOT NULL,
                data {data} NOT NULL, at {real} NOT NULL)""",
            "CREATE INDEX inbox_of_run ON inbox (run_id, key)",
            # The number of the first event of each epoch but the first.
            """CREATE TABLE epochs (
                run BIGINT NOT NULL, epoch BIGINT NOT NULL, first BIGINT NOT NULL, PRIMARY KEY (run, epoch)){by_key}""",
            # Runs at work on a branch, and those that wait behind them, in order.
            """CREATE TABLE turns (
                key {key}, thread BIGINT NOT NULL, branch BIGINT NOT NULL, run_id TEXT NOT NULL,
                lease TEXT NOT NULL, until {real} NOT NULL)""",
            "CREATE INDEX turns_of_branch ON turns (thread, branch, key)",
            "CREATE INDEX turns_of_run ON turns (run_id)",
        ),
    ),
    Migration(
        5,
        1,
        (
            # A handle without an owner finds a thread by its id, and lists an agent's, however many others there are.
            "CREATE INDEX threads_by_id ON threads (tenant, id, owner)",
            "CREATE INDEX threads_of_agent ON threads (tenant, agent_id, updated_at, key)",
            # In the order in which they were made, which nothing changes: a search goes through them from page to page.
            "CREATE INDEX threads_by_key ON threads (tenant, key)",
            "CREATE INDEX threads_of_owner_by_key ON threads (tenant, owner, key)",
            "CREATE INDEX threads_of_resource_by_key ON threads (tenant, resource_id, key)",
            "CREATE INDEX runs_of_owner ON runs (tenant, owner, started_at, key)",
        ),
    ),
    Migration(
        6,
        1,
        (
            # The search index, made from the messages: `_index` says how. What there is waits to be indexed.
            "{fulltext}",
            "{fulltext_index}",
            """CREATE TABLE to_index (
                branch BIGINT NOT NULL, seq BIGINT NOT NULL, kind BIGINT NOT NULL,
                due {real} NOT NULL, tries BIGINT NOT NULL, holder TEXT NOT NULL,
                PRIMARY KEY (branch, seq, kind)){by_key}""",
            "CREATE INDEX to_index_by_time ON to_index (kind, due, branch, seq)",
            "INSERT INTO to_index (branch, seq, kind, due, tries, holder) SELECT branch, seq, 0, 1.0, 0, '' FROM messages",
            # A space of vectors for each embedding model of a tenant; old messages are listed up to `branch` and `seq`.
            """CREATE TABLE spaces (
                key {key}, tenant TEXT NOT NULL, name TEXT NOT NULL, branch BIGINT, seq BIGINT NOT NULL,
                used_at {real} NOT NULL, UNIQUE (tenant, name))""",
            """CREATE TABLE vectors (
                branch BIGINT NOT NULL, space BIGINT NOT NULL, seq BIGINT NOT NULL, data {data} NOT NULL,
                PRIMARY KEY (branch, space, seq)){by_key}""",
            # How many vectors a branch has, and a version that changes where some go, for readers that keep them.
            """CREATE TABLE vector_counts (
                branch BIGINT NOT NULL, space BIGINT NOT NULL, count BIGINT NOT NULL, version BIGINT NOT NULL,
                PRIMARY KEY (branch, space)){by_key}""",
            "CREATE INDEX vector_counts_of_space ON vector_counts (space, branch)",
        ),
    ),
    Migration(
        7,
        1,
        (
            # Branches and runs that are in no list any more, whose many rows go a few at a time.
            "CREATE TABLE removed (kind TEXT NOT NULL, key BIGINT NOT NULL, PRIMARY KEY (kind, key)){by_key}",
            # Whom a run is about, so that it can be erased though its thread is gone.
            "ALTER TABLE runs ADD COLUMN resource_id TEXT NOT NULL DEFAULT ''",
            """UPDATE runs SET resource_id = COALESCE((SELECT max(threads.resource_id) FROM threads
                WHERE threads.tenant = runs.tenant AND threads.owner = runs.owner AND threads.id = runs.thread_id), '')""",
            "CREATE INDEX runs_of_resource ON runs (tenant, resource_id) WHERE resource_id <> ''",
            "CREATE INDEX runs_of_thread ON runs (tenant, thread_id) WHERE thread_id <> ''",
            "CREATE INDEX runs_that_ended ON runs (updated_at, key) WHERE status = 'ended'",
        ),
    ),
    Migration(
        8,
        1,
        (
            # Names of agents, models, tools and kinds of errors, each once.
            "CREATE TABLE names (key {key}, text TEXT NOT NULL UNIQUE)",
            # A trace, as lists show it; its spans lie in narrow rows, times as microseconds from its beginning.
            """CREATE TABLE traces (
                key {key}, tenant TEXT NOT NULL, owner TEXT NOT NULL, run_id TEXT NOT NULL, trace_id TEXT NOT NULL,
                agent BIGINT NOT NULL, model BIGINT NOT NULL, version BIGINT NOT NULL, source BIGINT NOT NULL,
                thread_id TEXT NOT NULL, resource_id TEXT NOT NULL, status BIGINT NOT NULL, reason TEXT NOT NULL,
                started_us BIGINT NOT NULL, duration_us BIGINT,
                model_calls BIGINT NOT NULL, tool_calls BIGINT NOT NULL, errors BIGINT NOT NULL,
                spans BIGINT NOT NULL, dropped BIGINT NOT NULL,
                input_tokens BIGINT NOT NULL, output_tokens BIGINT NOT NULL, tokens TEXT NOT NULL, cost_nano BIGINT,
                error_type BIGINT, error TEXT,
                UNIQUE (tenant, owner, run_id))""",
            "CREATE INDEX traces_of_run ON traces (run_id)",
            "CREATE INDEX traces_of_trace ON traces (trace_id)",
            "CREATE INDEX traces_by_time ON traces (tenant, started_us, key)",
            "CREATE INDEX traces_of_agent ON traces (tenant, agent, started_us, key)",
            "CREATE INDEX traces_of_thread ON traces (tenant, thread_id, started_us)",
            "CREATE INDEX traces_of_resource ON traces (tenant, resource_id) WHERE resource_id <> ''",
            "CREATE INDEX traces_open ON traces (key) WHERE status < 2",
            """CREATE TABLE spans (
                trace BIGINT NOT NULL, number BIGINT NOT NULL, run BIGINT NOT NULL,
                id {data} NOT NULL, parent {data}, kind BIGINT NOT NULL, name BIGINT NOT NULL, agent BIGINT NOT NULL,
                offset_us BIGINT NOT NULL, duration_us BIGINT, error BIGINT, data {data} NOT NULL,
                PRIMARY KEY (trace, number)){by_key}""",
            """CREATE TABLE trace_names (
                name BIGINT NOT NULL, trace BIGINT NOT NULL, PRIMARY KEY (name, trace)){by_key}""",
            "CREATE INDEX trace_names_of_trace ON trace_names (trace)",
            # What measurements add up to, by minute, hour and day; see `_sums`.
            """CREATE TABLE sums (
                key {key}, tenant BIGINT NOT NULL, tier BIGINT NOT NULL, at BIGINT NOT NULL, kind BIGINT NOT NULL,
                agent BIGINT NOT NULL, name BIGINT NOT NULL, version BIGINT NOT NULL, state BIGINT NOT NULL,
                data {data} NOT NULL)""",
            "CREATE INDEX sums_of_agent ON sums (tenant, kind, agent, tier, at)",
            "CREATE INDEX sums_waiting ON sums (state, tier, at) WHERE state < 2",
        ),
    ),
    Migration(
        9,
        1,
        (
            # What is remembered of a thread (its key, and '' for the resource) or of a resource (thread 0).
            """CREATE TABLE facts (
                key {key}, tenant TEXT NOT NULL, owner TEXT NOT NULL, thread BIGINT NOT NULL, resource_id TEXT NOT NULL,
                version BIGINT NOT NULL, document TEXT NOT NULL, changes TEXT NOT NULL, updated_at {real} NOT NULL,
                UNIQUE (tenant, owner, thread, resource_id))""",
            "CREATE INDEX facts_of_resource ON facts (tenant, resource_id) WHERE resource_id <> ''",
            "CREATE INDEX facts_of_thread ON facts (thread) WHERE thread <> 0",
            # What was made from the beginning of a path, by the place where that ends, and the parts it was made from.
            """CREATE TABLE views (
                key {key}, branch BIGINT NOT NULL, seq BIGINT NOT NULL, kind TEXT NOT NULL, first BIGINT NOT NULL,
                version BIGINT NOT NULL, sources BIGINT NOT NULL, text TEXT NOT NULL, made TEXT NOT NULL,
                at {real} NOT NULL)""",
            "CREATE INDEX views_of_branch ON views (branch, kind, seq)",
            """CREATE TABLE view_sources (
                branch BIGINT NOT NULL, first BIGINT NOT NULL, view BIGINT NOT NULL, last BIGINT NOT NULL,
                PRIMARY KEY (branch, first, view)){by_key}""",
            "CREATE INDEX view_sources_of_view ON view_sources (view)",
            # A person's time with an agent. Of the open ones there is one for each.
            """CREATE TABLE sessions (
                key {key}, tenant TEXT NOT NULL, owner TEXT NOT NULL, id TEXT NOT NULL UNIQUE,
                resource_id TEXT NOT NULL, agent_id TEXT NOT NULL, thread_id TEXT NOT NULL,
                state TEXT NOT NULL, reason TEXT NOT NULL, variables TEXT NOT NULL, version BIGINT NOT NULL,
                idle_s {real}, age_s {real}, summary TEXT NOT NULL,
                created_at {real} NOT NULL, active_at {real} NOT NULL, ended_at {real})""",
            """CREATE UNIQUE INDEX sessions_open ON sessions (tenant, owner, resource_id, agent_id)
                WHERE state IN ('active', 'paused')""",
            "CREATE INDEX sessions_by_time ON sessions (tenant, created_at, key)",
            "CREATE INDEX sessions_of_resource ON sessions (tenant, resource_id, created_at, key)",
        ),
    ),
    Migration(
        10,
        1,
        (
            # Rows of no owner, or about nobody, are in no index by owner or resource: nobody asks for them by it.
            "DROP INDEX threads_of_owner",
            "DROP INDEX threads_of_resource",
            "DROP INDEX threads_by_id",
            "DROP INDEX threads_of_owner_by_key",
            "DROP INDEX threads_of_resource_by_key",
            "DROP INDEX runs_of_owner",
            "CREATE INDEX threads_of_owner ON threads (tenant, owner, updated_at, key) WHERE owner <> ''",
            "CREATE INDEX threads_of_resource ON threads (tenant, resource_id, updated_at, key) WHERE resource_id <> ''",
            "CREATE INDEX threads_by_id ON threads (tenant, id, owner) WHERE owner <> ''",
            "CREATE INDEX threads_of_owner_by_key ON threads (tenant, owner, key) WHERE owner <> ''",
            "CREATE INDEX threads_of_resource_by_key ON threads (tenant, resource_id, key) WHERE resource_id <> ''",
            "CREATE INDEX runs_of_owner ON runs (tenant, owner, started_at, key) WHERE owner <> ''",
        ),
    ),
    Migration(
        11,
        11,  # from here on the events of runs that have ended are packed against their thread, see `_packing`
        (),
        sqlite=(
            # In a table that lies in the order of its key, what is longer than a quarter of a page takes pages of its own.
            """CREATE TABLE new_messages (
                branch BIGINT NOT NULL, seq BIGINT NOT NULL, id TEXT NOT NULL, role TEXT NOT NULL,
                run_id TEXT NOT NULL, at {real} NOT NULL, body TEXT NOT NULL,
                PRIMARY KEY (branch, seq))""",
            """INSERT INTO new_messages (branch, seq, id, role, run_id, at, body)
                SELECT branch, seq, id, role, run_id, at, body FROM messages ORDER BY branch, seq""",
            "DROP TABLE messages",
            "ALTER TABLE new_messages RENAME TO messages",
            "CREATE UNIQUE INDEX messages_by_id ON messages (id, branch)",
        ),
    ),
    Migration(
        12,
        1,
        (
            # Of a trace whose spans come in pieces: what their offsets count from, and what its line was made of so far.
            "ALTER TABLE traces ADD COLUMN base_us BIGINT",
            "ALTER TABLE traces ADD COLUMN pieces TEXT",
            "CREATE INDEX spans_in_pieces ON spans (trace, id) WHERE run < 0",
        ),
    ),
    Migration(
        13,
        1,
        (
            # What was measured of all agents in a window; `sums_of_agent` is for one.
            "CREATE INDEX sums_by_time ON sums (tenant, kind, tier, at)",
        ),
    ),
    # From here on a message that is a text alone is stored as that, and the events of runs that have ended are packed
    # against more of what the run's row says, see `_bodies` and `_packing`.
    Migration(14, 14, ()),
    Migration(
        15,
        15,
        (
            # What refers to contents does so by a number, in place of the tenant and the hash, in a row and an index.
            """CREATE TABLE new_contents (
                key {key}, tenant TEXT NOT NULL, hash TEXT NOT NULL, size BIGINT NOT NULL, created_at {real} NOT NULL,
                data {data} NOT NULL, UNIQUE (tenant, hash))""",
            """INSERT INTO new_contents (tenant, hash, size, created_at, data)
                SELECT tenant, hash, size, created_at, data FROM contents ORDER BY tenant, hash""",
            """CREATE TABLE new_uses (
                branch BIGINT NOT NULL, seq BIGINT NOT NULL, content BIGINT NOT NULL,
                PRIMARY KEY (branch, seq, content)){by_key}""",
            """INSERT INTO new_uses (branch, seq, content) SELECT uses.branch, uses.seq, new_contents.key FROM uses
                JOIN new_contents ON new_contents.tenant = uses.tenant AND new_contents.hash = uses.hash""",
            """CREATE TABLE new_run_uses (
                run BIGINT NOT NULL, content BIGINT NOT NULL, PRIMARY KEY (run, content)){by_key}""",
            """INSERT INTO new_run_uses (run, content) SELECT run_uses.run, new_contents.key FROM run_uses
                JOIN new_contents ON new_contents.tenant = run_uses.tenant AND new_contents.hash = run_uses.hash""",
            "DROP TABLE contents",
            "DROP TABLE uses",
            "DROP TABLE run_uses",
            "ALTER TABLE new_contents RENAME TO contents",
            "ALTER TABLE new_uses RENAME TO uses",
            "ALTER TABLE new_run_uses RENAME TO run_uses",
            "CREATE INDEX uses_of_content ON uses (content)",
            "CREATE INDEX run_uses_of_content ON run_uses (content)",
        ),
    ),
    Migration(
        16,
        1,
        (
            # Runs that go on are few, and those that ended are asked for by the time of that.
            "DROP INDEX runs_by_status",
            "CREATE INDEX runs_by_status ON runs (status, until) WHERE status <> 'ended'",
        ),
    ),
    Migration(
        17,
        17,  # from here on the spans of runs lie in packed rows, which an older program would take for none
        (
            # All spans of a run's trace that came at once, behind the `first` that were there, see `lumosai.spans`.
            """CREATE TABLE packed_spans (
                trace BIGINT NOT NULL, first BIGINT NOT NULL, data {data} NOT NULL, PRIMARY KEY (trace, first))""",
            # Traces of no thread are looked for by none.
            "DROP INDEX traces_of_thread",
            "CREATE INDEX traces_of_thread ON traces (tenant, thread_id, started_us) WHERE thread_id <> ''",
        ),
    ),
    Migration(
        18,
        18,  # from here on messages hold ids as bytes
        (),
        sqlite=(
            """CREATE TABLE new_messages (
                branch BIGINT NOT NULL, seq BIGINT NOT NULL, id BLOB NOT NULL, role TEXT NOT NULL,
                run_id BLOB NOT NULL, at {real} NOT NULL, body TEXT NOT NULL,
                PRIMARY KEY (branch, seq))""",
            """INSERT INTO new_messages (branch, seq, id, role, run_id, at, body)
                SELECT branch, seq, packed_id(id), role, packed_id(run_id), at, body FROM messages ORDER BY branch, seq""",
            "DROP TABLE messages",
            "ALTER TABLE new_messages RENAME TO messages",
            "CREATE UNIQUE INDEX messages_by_id ON messages (id, branch)",
        ),
        postgres=(
            f"""ALTER TABLE messages ALTER COLUMN id TYPE BYTEA USING {PACKED_IN_POSTGRES.format("id")},
                ALTER COLUMN run_id TYPE BYTEA USING {PACKED_IN_POSTGRES.format("run_id")}""",
        ),
    ),
    Migration(
        19,
        1,
        (
            # The models and tools of a trace that came whole, as one name, and which names such a one stands for.
            "ALTER TABLE traces ADD COLUMN named BIGINT",
            """CREATE TABLE name_sets (
                name BIGINT NOT NULL, named BIGINT NOT NULL, PRIMARY KEY (name, named)){by_key}""",
        ),
        # A run's id stands first in the index that keeps traces apart, so that no other is needed to find it.
        sqlite=(
            """CREATE TABLE new_traces (
                key {key}, tenant TEXT NOT NULL, owner TEXT NOT NULL, run_id TEXT NOT NULL, trace_id TEXT NOT NULL,
                agent BIGINT NOT NULL, model BIGINT NOT NULL, version BIGINT NOT NULL, source BIGINT NOT NULL,
                thread_id TEXT NOT NULL, resource_id TEXT NOT NULL, status BIGINT NOT NULL, reason TEXT NOT NULL,
                started_us BIGINT NOT NULL, duration_us BIGINT,
                model_calls BIGINT NOT NULL, tool_calls BIGINT NOT NULL, errors BIGINT NOT NULL,
                spans BIGINT NOT NULL, dropped BIGINT NOT NULL,
                input_tokens BIGINT NOT NULL, output_tokens BIGINT NOT NULL, tokens TEXT NOT NULL, cost_nano BIGINT,
                error_type BIGINT, error TEXT, base_us BIGINT, pieces TEXT, named BIGINT,
                UNIQUE (run_id, tenant, owner))""",
            """INSERT INTO new_traces SELECT key, tenant, owner, run_id, trace_id, agent, model, version, source, thread_id,
                resource_id, status, reason, started_us, duration_us, model_calls, tool_calls, errors, spans, dropped,
                input_tokens, output_tokens, tokens, cost_nano, error_type, error, base_us, pieces, named
                FROM traces ORDER BY key""",
            # The key of a trace that is removed is given to no other, for its spans may not be gone yet.
            """INSERT INTO sqlite_sequence (name, seq) SELECT 'new_traces', 0
                WHERE NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = 'new_traces')""",
            """UPDATE sqlite_sequence SET seq = max(seq, COALESCE((SELECT seq FROM sqlite_sequence WHERE name = 'traces'), 0))
                WHERE name = 'new_traces'""",
            "DROP TABLE traces",
            "ALTER TABLE new_traces RENAME TO traces",
            "CREATE INDEX traces_of_trace ON traces (trace_id)",
            "CREATE INDEX traces_by_time ON traces (tenant, started_us, key)",
            "CREATE INDEX traces_of_agent ON traces (tenant, agent, started_us, key)",
            "CREATE INDEX traces_of_thread ON traces (tenant, thread_id, started_us) WHERE thread_id <> ''",
            "CREATE INDEX traces_of_resource ON traces (tenant, resource_id) WHERE resource_id <> ''",
            "CREATE INDEX traces_open ON traces (key) WHERE status < 2",
        ),
        postgres=(
            "ALTER TABLE traces ADD UNIQUE (run_id, tenant, owner)",
            "ALTER TABLE traces DROP CONSTRAINT traces_tenant_owner_run_id_key",
            "DROP INDEX traces_of_run",
        ),
    ),
    Migration(
        20,
        20,  # from here on contents that are long lie in pieces, of which an older program would read the first
        (
            # What of contents lies behind their first piece, by number from 1.
            """CREATE TABLE pieces (
                whole BIGINT NOT NULL, number BIGINT NOT NULL, data {data} NOT NULL, PRIMARY KEY (whole, number))""",
        ),
    ),
    Migration(
        21,
        21,  # from here on long lists of ids are packed as `_lists` says, which an older program does not read
        (
            # Turns are those of the runs at work, few, and a run's are looked for where its lease is given back, seldom.
            "DROP INDEX turns_of_run",
        ),
    ),
)
"""Every step there is, in order."""

NEWEST = MIGRATIONS[-1].number
