# crossmod: from raw scans to a report. `snakemake --cores all [--configfile config/studies/X.yaml]`
# The study file says what, the profile (profiles/default) says with which resources.
from snakemake.utils import min_version

min_version("9.0")


report: "workflow/report/workflow.rst"


include: "rules/common.smk"
# Rules in the order of the data.
include: "rules/ingest.smk"
include: "rules/preprocess.smk"
include: "rules/slices.smk"
include: "rules/train.smk"
include: "rules/synthesize.smk"
include: "rules/evaluate.smk"
include: "rules/report.smk"


localrules:
    all,
    data,
    preprocessed,
    trained,
    synthesized,
    evaluated,


rule all:
    default_target: True
    input:
        PLAN.paths.report,
        PLAN.paths.quality / QUALITY_PAGE,
        DESCRIPTION,


onstart:
    shell("crossmod estimate {STUDY_JSON:q} --save {EXPECTATION_FILE:q}")


onsuccess:
    shell("crossmod headline {STUDY_JSON:q}" if report_is_new() else "true")
