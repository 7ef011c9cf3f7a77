#!/usr/bin/env python3
"""Proves that the rooms of src/ are in order; prints file:line of each offence, and exits with 1 if there is one.

    check_rooms.py [REPOSITORY]

- a room includes only its own headers and those of rooms above it in src/CMakeLists.txt, and no header that is not there;
- intrinsics and #if of instruction sets stand in src/kernels/isa only;
- every room has a README.md of at most 25 lines, and stands in src/CMakeLists.txt;
- no two headers define a type of the same name (functions of the one would be linked in place of the other's).
"""
import pathlib
import re
import sys

README_LINES = 25
INCLUDE = re.compile(r'\s*#\s*include\s+"([^"]+)"')
TYPE = re.compile(r"(?:class|struct|union|enum class) (?:\[\[\w+\]\] )?(?:alignas\(\w+\) )?(\w+)(?: final)?(?: : [^;]*)? \{")
INSTRUCTION_SET = re.compile(r"\s*#\s*(?:include\s+<(?:\w*mmintrin|immintrin|x86intrin|arm_neon|arm_sve)\.h>|"
                             r"(?:if|ifdef|ifndef|elif)\b.*__(?:AVX|SSE|FMA|F16C|BMI|ARM_(?:NEON|FEATURE)))")


def rooms_in_order(src):
    return re.findall(r"^add_subdirectory\((\w+)\)", (src / "CMakeLists.txt").read_text(), re.M)


def check_line(src, path, line, order):
    """What is wrong with this line of this file, or nothing."""
    room = path.relative_to(src).parts[0]
    if INSTRUCTION_SET.match(line) and src / "kernels" / "isa" not in path.parents:
        return "instruction sets belong in src/kernels/isa"
    include = INCLUDE.match(line)
    if not include:
        return None
    name = include[1]
    other = name.split("/")[0]
    if not (src / name).is_file() and not (path.parent / name).is_file():
        return f'"{name}" is no header of src/'
    if (src / name).is_file() and other in order and order.index(other) > order.index(room):
        return f"{room} may not include {other}: it comes later in src/CMakeLists.txt"
    return None


def types_defined_twice(repository):
    """Of a namespace's own types, which begin a line; those of isa/ and generic/ have a namespace for each unit."""
    places = {}
    headers = [path for folder in ("src", "tests") for path in sorted((repository / folder).rglob("*.h"))]
    for path in headers:
        if repository / "src/kernels" in path.parents and path.parent.name in ("isa", "generic"):
            continue
        for number, line in enumerate(path.read_text().splitlines(), 1):
            found = TYPE.match(line)
            if found and places.setdefault(found[1], path) != path:
                yield path, number, f"{found[1]} is also a type of {places[found[1]].relative_to(repository)}"


def offences(repository):
    yield from types_defined_twice(repository)
    src = repository / "src"
    order = rooms_in_order(src)
    for room in sorted(path.name for path in src.iterdir() if path.is_dir()):
        if room not in order:
            yield src / "CMakeLists.txt", 1, f"{room} is no room of this list"
            continue
        readme = src / room / "README.md"
        lines = len(readme.read_text().splitlines()) if readme.is_file() else 0
        if lines == 0:
            yield readme, 1, "missing"
        elif lines > README_LINES:
            yield readme, lines, f"longer than {README_LINES} lines"
        for path in sorted((src / room).rglob("*")):
            if path.suffix not in (".h", ".cpp", ".inc", ".def"):
                continue
            for number, line in enumerate(path.read_text().splitlines(), 1):
                wrong = check_line(src, path, line, order)
                if wrong:
                    yield path, number, wrong


def main():
    repository = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent.parent).resolve()
    found = list(offences(repository))
    for path, number, wrong in found:
        print(f"{path.relative_to(repository)}:{number}: {wrong}")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
