"""Brain extraction by a deformable surface: a sphere in the head grows to the edge of the brain.

Source: S. M. Smith, "Fast robust automated brain extraction", Human Brain Mapping 17:143-155,
2002; equation numbers below are his. Deviations: everything runs on an isotropic copy (so thick
slices need no special case), the lower end of the field of view is left out of the estimate of
center and size (necks differ), the surface is voxelized by its signed distance, and a
morphological opening then cuts off what the surface caught beyond the skull (see `_trim`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crossmod.masks import bounding_box
from crossmod.preprocess.foreground import largest_component, threshold_of

# A coarse surface finds the brain, a fine one its edge: a quarter of the time of 1000 fine steps.
SCHEDULE = ((3, 500), (4, 200))
HEAD_HEIGHT_MM = 150.0
SEARCH_MM = 20.0
RADIUS_MM = (3.33, 10.0)
# Smith takes 0.5: thick slices make the skull half as bright as brain. At 0.7 the surface of a
# T1w scan of high contrast stops at the white matter.
FRACTION = 0.6
RETRY_SMOOTHING = 10.0
MAX_CROSSED = 2e-3
TISSUE_FRACTION = 0.6
FAT_FACTOR = 1.6
FAT_SHARE = 0.002
DEEP_MM = 20.0
OPENING_MM = 6.0
CLOSING_MM = 6.0


@dataclass(frozen=True)
class Mesh:
    """Closed triangle mesh: an icosahedron subdivided and put on the unit sphere.

    Attributes
    ----------
    vertices : array, shape (n, 3)
    faces : array of int, shape (m, 3)
        Counter-clockwise seen from outside.
    mean_of_neighbors : sparse matrix, shape (n, n)
        Averages over the neighbors of each vertex.
    normals_of_faces : sparse matrix, shape (n, m)
        Sums over the faces around each vertex.
    """

    vertices: NDArray[np.float64]
    faces: NDArray[np.int64]
    mean_of_neighbors: Any
    normals_of_faces: Any


@dataclass(frozen=True)
class Intensities:
    """Estimates that steer the surface, in units of the scan; lengths in voxels."""

    low: float
    threshold: float
    high: float
    middle: float
    center: NDArray[np.float64]
    radius: float

    @property
    def tissue(self) -> float:
        """Typical brightness of the brain above the darkest."""
        return self.middle - self.low


def surface_mask(data: NDArray, spacing_mm: float) -> NDArray[np.bool_]:
    """Brain mask of a head.

    Parameters
    ----------
    data : array, shape (X, Y, Z)
        Isotropic volume in RAS orientation, about 2 mm.
    spacing_mm : float
        Edge length of its voxels.

    Returns
    -------
    array of bool, shape (X, Y, Z)
        Empty if no head was found.
    """
    estimates = _estimate(data, spacing_mm)
    if estimates is None:
        return np.zeros(data.shape, dtype=bool)
    sampler = _Sampler(data, spacing_mm, estimates)
    mesh, vertices = grow(sampler, smoothing=1.0)
    if _crossed(vertices, mesh) > MAX_CROSSED:
        # Smith's remedy for a surface that crosses itself: again, stiffer.
        mesh, vertices = grow(sampler, smoothing=RETRY_SMOOTHING)
    mask = voxelize(vertices, mesh, data.shape)
    if mask.any():
        box = bounding_box(mask, margin=1)
        tissue = _tissue(data[box], mask[box], estimates, spacing_mm)
        mask[box] = _trim(mask[box], tissue, spacing_mm)
    return mask


def _tissue(
    data: NDArray, mask: NDArray[np.bool_], estimates: Intensities, spacing_mm: float
) -> NDArray[np.bool_]:
    """Voxels as bright as brain: not as dark as bone, nor, if that tells them apart, as fat.

    Fat is far brighter than brain in T1w; in T2w so is CSF, which shows deep in the brain.
    """
    from scipy import ndimage

    relative = (data - estimates.low) / max(estimates.tissue, 1e-6)
    deep = ndimage.distance_transform_edt(mask, sampling=spacing_mm) > DEEP_MM
    fat = relative > FAT_FACTOR
    if deep.any() and fat[deep].mean() < FAT_SHARE:
        return (relative > TISSUE_FRACTION) & ~fat
    return relative > TISSUE_FRACTION


def _trim(
    mask: NDArray[np.bool_], bright: NDArray[np.bool_], spacing_mm: float
) -> NDArray[np.bool_]:
    """Keep of the mask what hangs together with the brain through bright tissue.

    Where slices are thick, the skull near the vertex is not dark all the way through, and the
    surface leaks into the scalp. Skull is darker than brain in every MR modality, so an opening
    of the bright part severs the scalp; a closing gives back dark sulci.
    """
    from scipy import ndimage

    depth = ndimage.distance_transform_edt
    tissue = ndimage.binary_fill_holes(mask & bright)
    core = largest_component(depth(tissue, sampling=spacing_mm) > OPENING_MM)
    if not core.any():
        return core
    opened = (depth(~core, sampling=spacing_mm) <= OPENING_MM) & tissue
    margin = int(np.ceil(CLOSING_MM / spacing_mm)) + 1
    wide = depth(~np.pad(opened, margin), sampling=spacing_mm) <= CLOSING_MM
    closed = depth(wide, sampling=spacing_mm) > CLOSING_MM
    inner = (slice(margin, -margin),) * 3
    return largest_component(ndimage.binary_fill_holes(closed[inner]) & mask)


def _estimate(data: NDArray, spacing_mm: float) -> Intensities | None:
    """Robust intensity range, center of gravity and radius of the head."""
    low, threshold, high = threshold_of(data)
    head = largest_component(data > threshold)
    areas = head.sum(axis=(0, 1)) * spacing_mm**2
    levels = np.flatnonzero(areas > 1000)
    if levels.size == 0:
        return None
    lowest = max(int(levels[-1] - HEAD_HEIGHT_MM / spacing_mm), 0)
    head[..., :lowest] = False
    points = np.argwhere(head).astype(np.float64)
    weights = np.clip(data[head], low, high) - low
    center = (points * weights[:, None]).sum(axis=0) / weights.sum()
    radius = float((3 * len(points) / (4 * np.pi)) ** (1 / 3))
    near = data[head][np.linalg.norm(points - center, axis=1) < radius]
    near = near[(near > low) & (near < high)]
    middle = float(np.median(near)) if near.size else threshold
    return Intensities(low, threshold, high, middle, center, radius)


@lru_cache(maxsize=4)
def icosphere(subdivisions: int) -> Mesh:
    """Unit sphere of `10 * 4**subdivisions + 2` vertices, evenly spread."""
    golden = (1 + 5**0.5) / 2
    corners = [(0, s, t * golden) for s in (-1, 1) for t in (-1, 1)]
    points = np.array([np.roll(c, k) for k in range(3) for c in corners], dtype=np.float64)
    points /= np.linalg.norm(points[0])
    from scipy.spatial import ConvexHull

    faces = _outward(points, ConvexHull(points).simplices.astype(np.int64))
    for _ in range(subdivisions):
        points, faces = _subdivide(points, faces)
    return Mesh(points, faces, *_operators(len(points), faces))


def _outward(points: NDArray, faces: NDArray) -> NDArray:
    a, b, c = (points[faces[:, k]] for k in range(3))
    inward = np.einsum("ij,ij->i", np.cross(b - a, c - a), a) < 0
    return np.where(inward[:, None], faces[:, ::-1], faces)


def _subdivide(points: NDArray, faces: NDArray) -> tuple[NDArray, NDArray]:
    """Cut each triangle into four."""
    unique, inverse = _edges(faces)
    middles = points[unique].mean(axis=1)
    middles /= np.linalg.norm(middles, axis=1, keepdims=True)
    ab, bc, ca = (len(points) + part for part in inverse.reshape(3, -1))
    a, b, c = faces.T
    quarters = [(a, ab, ca), (b, bc, ab), (c, ca, bc), (ab, bc, ca)]
    return np.concatenate([points, middles]), np.concatenate(
        [np.stack(quarter, axis=1) for quarter in quarters]
    )


def _edges(faces: NDArray) -> tuple[NDArray, NDArray]:
    """Edges as pairs of vertices, and which of them are the three sides of each face."""
    sides = np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), axis=1)
    unique, inverse = np.unique(sides, axis=0, return_inverse=True)
    return unique, inverse.ravel()


def _operators(count: int, faces: NDArray) -> tuple[Any, Any]:
    from scipy import sparse

    heads, tails = faces.ravel(), np.roll(faces, -1, axis=1).ravel()
    edges = sparse.coo_matrix((np.ones(len(heads)), (heads, tails)), shape=(count, count))
    degrees = np.asarray(edges.sum(axis=1)).ravel()
    mean = sparse.diags(1 / degrees) @ edges.tocsr()
    rows = np.repeat(np.arange(len(faces)), 3)
    around = sparse.coo_matrix((np.ones(len(rows)), (heads, rows)), shape=(count, len(faces)))
    return mean.tocsr(), around.tocsr()


def vertex_normals(vertices: NDArray, mesh: Mesh) -> NDArray:
    """Outward unit normals."""
    a, b, c = (vertices[mesh.faces[:, k]] for k in range(3))
    normals = mesh.normals_of_faces @ np.cross(b - a, c - a)
    return normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)


def grow(sampler: _Sampler, smoothing: float) -> tuple[Mesh, NDArray[np.float64]]:
    """Move a sphere in the head outwards until it rests on the edge of the brain.

    Parameters
    ----------
    sampler : _Sampler
        Scan and what is dark and bright in it.
    smoothing : float
        Factor on the stiffness of inward curvature; 1 is normal.

    Returns
    -------
    Mesh
        Triangulation.
    array, shape (n, 3)
        Its vertices in voxel indices.
    """
    estimates = sampler.estimates
    mesh = icosphere(SCHEDULE[0][0])
    vertices = estimates.center + 0.5 * estimates.radius * mesh.vertices
    for subdivisions, iterations in SCHEDULE:
        if mesh is not icosphere(subdivisions):
            vertices = np.concatenate([vertices, vertices[_edges(mesh.faces)[0]].mean(axis=1)])
            mesh = icosphere(subdivisions)
        for _ in range(iterations):
            vertices = _step(vertices, mesh, sampler, smoothing)
    return mesh, vertices


def _step(
    vertices: NDArray[np.float64], mesh: Mesh, sampler: _Sampler, smoothing: float
) -> NDArray[np.float64]:
    curvatures = sampler.spacing_mm / np.array(RADIUS_MM)
    middle, slope = curvatures.mean(), 6 / (curvatures[0] - curvatures[1])
    normals = vertex_normals(vertices, mesh)
    pull = mesh.mean_of_neighbors @ vertices - vertices
    along = np.einsum("ij,ij->i", pull, normals)
    inward = along[:, None] * normals
    edges = vertices[mesh.faces[:, 0]] - vertices[mesh.faces[:, 1]]
    length = float(np.linalg.norm(edges, axis=1).mean())
    curvature = 2 * np.abs(along) / length**2  # eq. 4: 1 / r
    stiffness = (1 + np.tanh(slope * (curvature - middle))) / 2  # eq. 5, 6
    if smoothing > 1:
        stiffness = np.where(along > 0, np.minimum(stiffness * smoothing, 1), stiffness)
    force = 0.05 * sampler.force(vertices, normals) * length  # eq. 13
    tangential = 0.5 * (pull - inward)
    return vertices + tangential + stiffness[:, None] * inward + force[:, None] * normals


class _Sampler:
    """Compares the darkest with the brightest intensity below the surface (eq. 8 to 12)."""

    def __init__(self, data: NDArray, spacing_mm: float, estimates: Intensities) -> None:
        self.spacing_mm = spacing_mm
        self.data = np.ascontiguousarray(data, dtype=np.float32).ravel()
        self.shape = np.array(data.shape)
        self.strides = np.array([data.shape[1] * data.shape[2], data.shape[2], 1])
        self.depths = np.arange(1, int(SEARCH_MM / spacing_mm) + 1)
        self.near = max(len(self.depths) // 2, 1)
        self.estimates = estimates

    def force(self, vertices: NDArray, normals: NDArray) -> NDArray:
        """Signed strength, at most 1 to 2: positive where the inside looks like brain."""
        e = self.estimates
        points = vertices[:, None] - normals[:, None] * self.depths[None, :, None]
        index = np.clip(np.rint(points).astype(np.int64), 0, self.shape - 1)
        values = self.data[index @ self.strides]
        least = np.clip(values.min(axis=1), e.low, e.middle)
        most = np.clip(values[:, : self.near].max(axis=1), e.threshold, e.middle)
        local = (most - e.low) * FRACTION + e.low
        return 2 * (least - local) / np.maximum(most - e.low, 1e-6)


def _crossed(vertices: NDArray, mesh: Mesh) -> float:
    """Share of the faces that point against the surface around them."""
    a, b, c = (vertices[mesh.faces[:, k]] for k in range(3))
    normals = np.cross(b - a, c - a)
    around = vertex_normals(vertices, mesh)[mesh.faces].mean(axis=1)
    return float((np.einsum("ij,ij->i", normals, around) <= 0).mean())


def voxelize(vertices: NDArray, mesh: Mesh, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Voxels whose centers lie inside a closed surface given in voxel indices."""
    from scipy import ndimage
    from scipy.spatial import cKDTree

    a, b, c = (vertices[mesh.faces[:, k]] for k in range(3))
    steps = int(np.ceil(2 * np.linalg.norm(b - a, axis=1).max())) + 1
    u, v = np.meshgrid(np.arange(steps + 1), np.arange(steps + 1), indexing="ij")
    u, v = u[u + v <= steps] / steps, v[u + v <= steps] / steps
    points = (a + u[:, None, None] * (b - a) + v[:, None, None] * (c - a)).reshape(-1, 3)
    normals = np.tile(np.cross(b - a, c - a), (len(u), 1))
    padded = np.array(shape) + 2
    index = np.clip(np.rint(points).astype(np.int64) + 1, 0, padded - 1)
    shell = np.zeros(padded, dtype=bool)
    shell[tuple(index.T)] = True
    filled = ndimage.binary_fill_holes(shell)
    # The shell straddles the surface: keep those of its voxels whose centers are inside.
    centers = np.argwhere(shell) - 1.0
    nearest = cKDTree(points).query(centers)[1]
    outside = np.einsum("ij,ij->i", centers - points[nearest], normals[nearest]) > 0
    filled[tuple((centers[outside].astype(np.int64) + 1).T)] = False
    return largest_component(filled[1:-1, 1:-1, 1:-1])
