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


rule quality:
    """Write the pages of quality control: of all sessions, and of each beside it."""
    input:
        preprocessed=[PLAN.paths.preprocessed(key).status for key in PLAN.used_sessions],
        sessions=PLAN.paths.index("sessions"),
        code=code("quality"),
        env="envs/analysis.yaml",
    output:
        page=report(
            PLAN.paths.quality / QUALITY_PAGE,
            caption="../workflow/report/quality.rst",
            category="Report",
            labels={"page": "2 quality control"},
        ),
    log:
        f"logs/{STUDY.study}/quality.log",
    benchmark:
        f"logs/{STUDY.study}/quality.tsv"
    conda:
        "../envs/analysis.yaml"
    threads: 1
    params:
        title=STUDY.title or STUDY.study,
        data=PLAN.paths.data,
        folder=PLAN.paths.quality,
    shell:
        "python -m crossmod quality --preprocessed {input.preprocessed:q}"
        " --sessions {input.sessions:q} --title {params.title:q} --data-dir {params.data:q}"
        " --output-dir {params.folder:q} > {log:q} 2>&1"


rule preprocessed:
    """All preprocessed sessions, the pages to check them, and their slices."""
    input:
        PLAN.paths.quality / QUALITY_PAGE,
        [PLAN.paths.slices(key) for key in PLAN.used_sessions],
