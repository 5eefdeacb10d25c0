rule slices:
    """Cut one session into the slices that networks see."""
    input:
        preprocessed=PLAN.paths.preprocessed("{session}").status,
        code=code("slices"),
        env="envs/imaging.yaml",
    output:
        manifest=PLAN.paths.slices("{session}"),
    log:
        f"logs/{PLAN.paths.dataset}/{PLAN.paths.slices_root.name}/{{session}}.log",
    benchmark:
        f"logs/{PLAN.paths.dataset}/{PLAN.paths.slices_root.name}/{{session}}.tsv"
    conda:
        "../envs/imaging.yaml"
    threads: 1
    resources:
        mem_mb=2000,
    params:
        settings=SETTINGS["slices"],
        preprocess=SETTINGS["preprocess"],
    shell:
        "python -m crossmod slices --preprocessed {input.preprocessed:q}"
        " --settings {params.settings:q} --preprocess {params.preprocess:q}"
        " --output {output.manifest:q} > {log} 2>&1"
