# Files that describe the data set; nothing asks for them but `all` and `data`.
INGESTED = [PLAN.paths.ingested(key).status for key in PLAN.ingested_sessions]
WRITTEN_TO = PLAN.paths.ingested_root if INGESTED else PLAN.paths.data
DESCRIPTION = (
    [WRITTEN_TO / "participants.tsv"] if PLAN.phantom_groups or INGESTED else []
)

# The embedded data set. One rule per set of files, because what is missing leaves none.
for kinds, participants in PLAN.phantom_groups.items():

    rule:
        """Make one phantom subject with known truth."""
        name:
            f"phantom_{'_'.join(kinds)}"
        input:
            code=code("phantom"),
            env="envs/imaging.yaml",
        output:
            [PLAN.phantom_pattern(kind) for kind in kinds],
        log:
            f"logs/{PLAN.paths.dataset}/phantom/{{participant}}.log",
        benchmark:
            f"logs/{PLAN.paths.dataset}/phantom/{{participant}}.tsv"
        wildcard_constraints:
            participant="|".join(participants),
        conda:
            "../envs/imaging.yaml"
        threads: 1
        resources:
            mem_mb=1000,
        params:
            settings=SETTINGS["phantom"],
            folder=PLAN.paths.data,
        shell:
            "python -m crossmod phantom --participant {wildcards.participant}"
            " --settings {params.settings:q} --output-dir {params.folder:q} > {log} 2>&1"


if PLAN.phantom_groups:

    rule phantom_description:
        """Describe the phantom as BIDS asks: data set, participants."""
        input:
            code=code("phantom"),
            env="envs/imaging.yaml",
        output:
            participants=PLAN.paths.data / "participants.tsv",
        log:
            f"logs/{PLAN.paths.dataset}/phantom_description.log",
        benchmark:
            f"logs/{PLAN.paths.dataset}/phantom_description.tsv"
        conda:
            "../envs/imaging.yaml"
        threads: 1
        params:
            settings=STUDY.dataset.phantom.model_dump_json(),
            folder=PLAN.paths.data,
        shell:
            "python -m crossmod phantom --description-only"
            " --settings {params.settings:q} --output-dir {params.folder:q} > {log} 2>&1"


rule ingest:
    """Convert one session of another layout to BIDS."""
    input:
        raw=source_files,
        code=code("ingest"),
        env="envs/imaging.yaml",
    output:
        status=PLAN.paths.ingested("{session}").status,
    log:
        f"logs/{PLAN.paths.dataset}/ingest/{{session}}.log",
    benchmark:
        f"logs/{PLAN.paths.dataset}/ingest/{{session}}.tsv"
    conda:
        "../envs/imaging.yaml"
    threads: 1
    resources:
        mem_mb=2000,
    params:
        sources=sources_json,
        deface="--deface" if STUDY.dataset.deface else "",
        folder=PLAN.paths.ingested_root,
    shell:
        "python -m crossmod ingest --session {wildcards.session} {params.deface}"
        " --sources {params.sources:q} --output-dir {params.folder:q} > {log} 2>&1"


rule ingest_participants:
    """List the participants that were converted."""
    input:
        table=PLAN.paths.index("participants"),
        planned=PLAN.paths.index("sessions"),
        statuses=INGESTED,
        code=code("participants"),
        env="envs/imaging.yaml",
    output:
        PLAN.paths.ingested_root / "participants.tsv",
    log:
        f"logs/{PLAN.paths.dataset}/ingest_participants.log",
    benchmark:
        f"logs/{PLAN.paths.dataset}/ingest_participants.tsv"
    conda:
        "../envs/imaging.yaml"
    threads: 1
    params:
        folder=PLAN.paths.ingested_root,
    shell:
        "python -m crossmod ingest --participants {input.table:q}"
        " --planned {input.planned:q} --output-dir {params.folder:q} > {log} 2>&1"


rule data:
    """All raw scans, converted to BIDS if they are not."""
    input:
        INGESTED or [s.path(m) for s in PLAN.sessions.values() for m in s.available],
        DESCRIPTION,
