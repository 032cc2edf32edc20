"""Times polyad's renderer against others from PyPI, on one mesh, in one run, and prints ratios.

    python3 crates/polyad-shapes/benches/render_rivals.py [FILE.off[.gz]]

Each draws the same 20 views (a dodecahedron's corners) at 224 x 224 and leaves the pictures in main memory. Rivals
are installed into target/rivals; one that cannot be installed or started is reported as missing. Debian's libegl1,
libgl1-mesa-dri, libusb-1.0-0 and libgomp1 are needed. Times are the best of several runs, in milliseconds.
"""

import gzip
import itertools
import json
import os
import pathlib
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[3]
VENV = ROOT / "target" / "rivals"
PACKAGES = ["numpy", "vtk", "moderngl", "open3d"]
SIZE = 224
RUNS = 7


def into_venv():
    """Starts this script again in an environment that has the rivals."""
    if pathlib.Path(sys.prefix) == VENV:
        return
    python = VENV / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", VENV], check=True)
        for package in PACKAGES:
            subprocess.run([python, "-m", "pip", "install", "-q", package])
    os.execv(python, [str(python), *sys.argv])


def read_off(path):
    import numpy as np

    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rt") as file:
        words = file.read().split()
    vertices, faces = int(words[1]), int(words[2])
    places = np.array(words[4 : 4 + 3 * vertices], dtype=np.float32).reshape(-1, 3)
    corners = np.array(words[4 + 3 * vertices :][: 4 * faces], dtype=np.int64).reshape(-1, 4)
    assert (corners[:, 0] == 3).all(), "triangles only"
    low, high = places.min(0), places.max(0)
    places = places - (low + high) / 2
    return places / np.linalg.norm(places, axis=1).max(), corners[:, 1:].astype(np.uint32)


def directions():
    import numpy as np

    golden = (1 + 5**0.5) / 2
    corners = list(itertools.product((1, -1), repeat=3))
    for s, t in itertools.product((1, -1), repeat=2):
        corners += [(0, s / golden, t * golden), (s / golden, t * golden, 0), (t * golden, 0, s / golden)]
    return np.array(corners) / 3**0.5


def smooth_normals(places, triangles):
    import numpy as np

    a, b, c = (places[triangles[:, k]] for k in range(3))
    face = np.cross(b - a, c - a)
    normals = np.zeros_like(places)
    for k in range(3):
        np.add.at(normals, triangles[:, k], face)
    return normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)


def axes(direction):
    import numpy as np

    right = np.cross((0, 0, 1), direction)
    right /= np.linalg.norm(right)
    return right, np.cross(direction, right), direction


def best(draw):
    draw()
    times = []
    for _ in range(RUNS):
        start = time.perf_counter()
        draw()
        times.append(time.perf_counter() - start)
    return 1e3 * min(times)


def open3d_rays(places, triangles):
    """Embree, one ray a pixel, shaded by the normal of the face it hits."""
    import numpy as np
    import open3d as o3d

    scene = o3d.t.geometry.RaycastingScene()
    scene.add_triangles(o3d.core.Tensor(places), o3d.core.Tensor(triangles))
    x, y = np.meshgrid(*[(np.arange(SIZE) + 0.5) / SIZE * 2 - 1] * 2)
    rays = []
    for direction in directions():
        right, up, towards = axes(direction)
        origins = x[..., None] * right - y[..., None] * up + 2 * towards
        rays.append(np.concatenate([origins, np.broadcast_to(-towards, origins.shape)], -1).astype(np.float32))

    def draw():
        for batch, towards in zip(rays, directions()):
            hit = scene.cast_rays(o3d.core.Tensor(batch))
            light = np.abs(hit["primitive_normals"].numpy() @ towards.astype(np.float32))
            np.where(np.isfinite(hit["t_hit"].numpy()), 52 + 176 * light, 255).astype(np.uint8)

    return best(draw)


def vtk_egl(places, triangles):
    """Off-screen OpenGL, four samples a pixel, smooth normals."""
    import numpy as np
    import vtk
    from vtk.util.numpy_support import numpy_to_vtk, numpy_to_vtkIdTypeArray, vtk_to_numpy

    points = vtk.vtkPoints()
    points.SetData(numpy_to_vtk(places, deep=True))
    cells = vtk.vtkCellArray()
    cells.SetData(3, numpy_to_vtkIdTypeArray(triangles.astype(np.int64).ravel(), deep=True))
    data = vtk.vtkPolyData()
    data.SetPoints(points)
    data.SetPolys(cells)
    data.GetPointData().SetNormals(numpy_to_vtk(smooth_normals(places, triangles), deep=True))
    mapper = vtk.vtkPolyDataMapper()
    mapper.SetInputData(data)
    actor = vtk.vtkActor()
    actor.SetMapper(mapper)
    renderer = vtk.vtkRenderer()
    renderer.SetBackground(1, 1, 1)
    renderer.AddActor(actor)
    window = vtk.vtkRenderWindow()
    window.SetOffScreenRendering(1)
    window.SetMultiSamples(4)
    window.SetSize(SIZE, SIZE)
    window.AddRenderer(renderer)
    camera = renderer.GetActiveCamera()
    camera.ParallelProjectionOn()
    camera.SetParallelScale(1 / 0.95)
    pixels = vtk.vtkUnsignedCharArray()

    def draw():
        for direction in directions():
            camera.SetPosition(*(3 * direction))
            camera.SetFocalPoint(0, 0, 0)
            camera.SetViewUp(0, 0, 1)
            renderer.ResetCameraClippingRange()
            window.Render()
            window.GetPixelData(0, 0, SIZE - 1, SIZE - 1, 0, pixels, 0)
            vtk_to_numpy(pixels).copy()

    result = best(draw)
    assert vtk_to_numpy(pixels).min() < 200, "nothing was drawn"
    return result


def moderngl_egl(places, triangles):
    """OpenGL of Mesa, four samples a pixel, smooth normals."""
    import moderngl
    import numpy as np

    context = moderngl.create_standalone_context(backend="egl")
    program = context.program(
        vertex_shader="""#version 330
            uniform mat3 turn; in vec3 place; in vec3 normal; out vec3 n;
            void main() { vec3 p = turn * place; n = turn * normal; gl_Position = vec4(0.95 * p.xy, -0.9 * p.z, 1); }""",
        fragment_shader="""#version 330
            in vec3 n; out vec4 colour;
            void main() { colour = vec4(vec3(0.2 + 0.7 * abs(normalize(n).z)), 1); }""",
    )
    vertices = np.hstack([places, smooth_normals(places, triangles)]).astype(np.float32)
    buffer = context.buffer(vertices.tobytes())
    indices = context.buffer(triangles.tobytes())
    array = context.vertex_array(program, [(buffer, "3f 3f", "place", "normal")], indices)
    size = (SIZE, SIZE)
    many = context.framebuffer(context.renderbuffer(size, 4, samples=4), context.depth_renderbuffer(size, samples=4))
    plain = context.framebuffer(context.renderbuffer(size, 4))
    context.enable(moderngl.DEPTH_TEST)
    seen = []

    def draw():
        for direction in directions():
            program["turn"].write(np.array(axes(direction)).T.astype(np.float32).tobytes())
            many.use()
            many.clear(1, 1, 1, 1)
            array.render()
            context.copy_framebuffer(plain, many)
            seen[:] = [plain.read(components=3)]

    result = best(draw)
    assert min(seen[0]) < 200, "nothing was drawn"
    return result


def polyad(mesh):
    command = ["cargo", "bench", "-q", "-p", "polyad-shapes", "--bench", "render", "--", str(mesh)]
    output = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout
    return json.loads(output.strip().splitlines()[-1])


def main():
    into_venv()
    shared = pathlib.Path(os.environ.get("POLYAD_SHARED", ROOT.parent / "shared"))
    default = shared / "data" / "psb19" / "armadillo" / "train" / "286.off.gz"
    mesh = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else default).resolve()
    if not mesh.exists():
        sys.exit(f"no mesh at {mesh}")
    ours = polyad(mesh)
    print(f"{mesh.name}: {ours['triangles']} triangles, 20 views of {SIZE} x {SIZE}, {os.cpu_count()} cores")
    print(f"{'polyad, 4 samples':<36}{ours['ms']:>9.1f} ms")
    print(f"{'polyad, 1 sample':<36}{ours['ms_one_sample']:>9.1f} ms")
    places, triangles = read_off(mesh)
    rivals = [
        ("Open3D ray casting, 1 sample", open3d_rays, ours["ms_one_sample"]),
        ("moderngl, EGL, 4 samples", moderngl_egl, ours["ms"]),
        ("VTK, off-screen, 4 samples", vtk_egl, ours["ms"]),
    ]
    for name, rival, reference in rivals:
        try:
            took = rival(places, triangles)
            print(f"{name:<36}{took:>9.1f} ms{took / reference:>9.1f} times polyad's at as many samples")
        except Exception as problem:
            print(f"{name:<36}  missing: {problem}")


main()
