"""The GPU benchmark keeps its time, says what it left out, and counts what the hardware computes."""

import time

import pytest
import torch
from click.testing import CliRunner
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.cells import Cell, Job, read_results
from benchmarks.gpu.__main__ import main
from benchmarks.gpu.measuring import flops, measure_column, on_tensor_cores
from benchmarks.gpu.running import measure_all
from benchmarks.gpu.shapes import random_material
from benchmarks.gpu.table import HEAD, table
from benchmarks.measure import measure_update
from benchmarks.named_columns import make_column
from benchmarks.running import trl_installed
from collapse_core import Completion, Kept, files

pytestmark = pytest.mark.model

CPU = torch.device("cpu")
JOBS = [Job(Cell("tiny", 4, 2), column, "float32", batch_size=2) for column in ("ours", "reference")]


def cells(results):
    rows = [line.strip("|").split("|") for line in table(results) if line.startswith("|")][2:]
    return {(row[1].strip(), row[2].strip()): [text.strip() for text in row] for row in rows}


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_says_so_in_one_line_and_measures_nothing(tmp_path):
    done = CliRunner().invoke(main, ["--results", str(tmp_path / "bench")])
    assert (done.exit_code, done.output.count("\n")) == (0, 1)
    assert done.output.startswith("no GPU")
    assert not (tmp_path / "bench").exists()


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    folder = tmp_path_factory.mktemp("gpu")
    for job in JOBS:
        measure_column(job, CPU, folder)
    return [result | {"shape": "tiny"} for result in read_results(folder, "gpu")]


def test_every_phase_is_measured_and_set_against_the_other_columns(measured):
    found = cells(measured)
    assert found.keys() == {
        (phase, job.column) for phase in ("sampling", "update", "iteration") for job in JOBS
    }
    for phase in ("sampling", "update", "iteration"):
        ours, reference = (float(found[phase, job.column][HEAD.index("s")]) for job in JOBS)
        faster = float(found[phase, "ours"][HEAD.index("times faster than reference")])
        assert faster == pytest.approx(reference / ours, rel=0.2), phase
    for phase in ("sampling", "update"):
        for one in measured:
            numbers = one["phases"][phase]
            assert numbers["tensor_core_share"] is None, "a CPU has none"
            assert numbers["flops"] > 0


@pytest.mark.parametrize("column", ["ours", "reference"])
def test_the_operations_counted_are_those_of_the_products_with_weights(column):
    """The reference reads a third of its rows without gradients."""
    job = next(job for job in JOBS if job.column == column)
    material = random_material(job, CPU)
    running = make_column(column, material)
    kept = [Kept(prompt, Completion(prompt.target), 1.0) for prompt in material.prompts]
    with FlopCounterMode(display=False) as counter:
        tokens = measure_update(running, material, kept)["tokens"]
        num_all = counter.get_flop_counts()["Global"][torch.ops.aten.mm]
    with FlopCounterMode(display=False) as counter:
        running.update(kept[: job.batch_size], material.retain[: job.batch_size])
        num_warm = counter.get_flop_counts()["Global"][torch.ops.aten.mm]
    assert flops(material, tokens) == pytest.approx(num_all - num_warm, rel=1e-6)


def test_what_does_not_fit_into_the_time_is_said(measured, tmp_path):
    said = []
    results = measure_all(JOBS, "cpu", time.monotonic(), tmp_path, said.append)
    assert [line.endswith("out of time") for line in said] == [False, True] * len(JOBS)
    assert {row[3] for row in cells(results).values()} == {"not measured, out of time"}
    [done] = [one for one in measured if one["job"]["column"] == "ours"]
    phases = {name: phase for name, phase in done["phases"].items() if name != "update"}
    found = cells([done | {"phases": phases, "missing": "out of time"}, results[1]])
    assert found["update", "ours"][3] == found["sampling", "reference"][3] == "not measured, out of time"
    assert float(found["sampling", "ours"][3]) > 0


@pytest.mark.slow
@pytest.mark.process
def test_the_command_measures_every_column_in_a_process_of_its_own(tmp_path):
    small = [
        "--device",
        "cpu",
        "--shape",
        "tiny",
        "--questions",
        "4",
        "--completions",
        "2",
        "--batch-size",
        "2",
    ]
    done = CliRunner().invoke(main, [*small, "--results", str(tmp_path)])
    assert done.exit_code == 0, done.output
    results = files.read_json(tmp_path / "gpu.json")["results"]
    found = cells(results)
    assert all(float(found["iteration", column][3]) > 0 for column in ("ours", "reference"))
    trl = found["iteration", "trl"][3]
    assert float(trl) > 0 if trl_installed() else trl == "not measured, trl is not installed"


@pytest.mark.parametrize(
    ("kernel", "expected"),
    [
        ("nvjet_hsh_128x256_64x4_1x2_h_bz_coopA_NTN", True),
        ("ampere_bf16_s16816gemm_bf16_128x128_ldg8_f2f_stages_32x5_tn", True),
        ("sm90_xmma_gemm_bf16bf16_bf16f32_f32_tn_n_tilesize64x128x64_warpgroupsize1x1x1", True),
        ("void cutlass::Kernel2<cutlass_80_tensorop_bf16_s16816gemm_relu_bf16_64x64_32x6_tn_align8>", True),
        ("void pytorch_flash::flash_fwd_kernel<Flash_fwd_kernel_traits<64, 128, 128, 4>>", True),
        ("ampere_sgemm_128x64_tn", False),
        ("void cutlass::Kernel2<cutlass_80_simt_sgemm_128x64_8x5_tn_align1>", False),
        ("void cublasLt::splitKreduce_kernel<32, 16, int, float, __nv_bfloat16>", False),
        ("void gemv2T_kernel_val<int, int, float>", False),
        ("void at::native::vectorized_elementwise_kernel<4, at::native::CUDAFunctor_add<float>>", False),
    ],
)
def test_kernels_on_tensor_cores_are_told_by_their_names(kernel, expected):
    assert on_tensor_cores(kernel) is expected
