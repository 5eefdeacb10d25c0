# The embedded data set. One rule per set of modalities, because missing ones leave no file.
for modalities, participants in PLAN.phantom_groups.items():

    rule:
        """Make one phantom subject with known truth."""
        name:
            f"phantom_{'_'.join(modalities)}"
        input:
            code=code("phantom"),
            env="envs/imaging.yaml",
        output:
            scans=[PLAN.paths.phantom_scan(modality) for modality in modalities],
        wildcard_constraints:
            participant="|".join(participants),
        params:
            settings=SETTINGS["phantom"],
            folder=PLAN.paths.data,
        log:
            f"logs/{PLAN.paths.dataset}/phantom/{{participant}}.log",
        benchmark:
            f"logs/{PLAN.paths.dataset}/phantom/{{participant}}.tsv"
        conda:
            "../envs/imaging.yaml"
        threads: 1
        resources:
            mem_mb=1000,
        shell:
            "python -m crossmod phantom --participant {wildcards.participant}"
            " --settings {params.settings:q} --output-dir {params.folder:q} > {log} 2>&1"


rule data:
    """All raw scans."""
    input:
        [s.path(m) for s in PLAN.sessions.values() for m in s.available],
