rule preprocess:
    """Align, correct and brain-extract the scans of one session."""
    input:
        raw=raw_files,
        earlier=earlier_sessions,
        code=code("preprocess"),
        env="envs/imaging.yaml",
    output:
        status=PLAN.paths.preprocessed("{session}").status,
    log:
        f"logs/{PLAN.paths.dataset}/preprocess-{STUDY.preprocess.hash}/{{session}}.log",
    benchmark:
        f"logs/{PLAN.paths.dataset}/preprocess-{STUDY.preprocess.hash}/{{session}}.tsv"
    conda:
        "../envs/imaging.yaml"
    threads: 1
    resources:
        mem_mb=3000,
    params:
        scans=raw_options,
        earlier=earlier_option,
        settings=SETTINGS["preprocess"],
        folder=PLAN.paths.preprocessed_root,
    shell:
        "python -m crossmod preprocess --session {wildcards.session} {params.scans}"
        " {params.earlier}"
        " --settings {params.settings:q} --output-dir {params.folder:q} > {log} 2>&1"


rule preprocessed:
    """All preprocessed sessions and their slices."""
    input:
        [PLAN.paths.slices(key) for key in PLAN.used_sessions],
