# Files that describe the data set; nothing asks for them but `all` and `data`.
DESCRIPTION = [PLAN.paths.data / "participants.tsv"] if PLAN.phantom_groups else []

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


rule data:
    """All raw scans."""
    input:
        [s.path(m) for s in PLAN.sessions.values() for m in s.available],
        DESCRIPTION,
