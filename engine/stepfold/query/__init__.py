"""How values are picked: JSON text, paths, intrinsic functions, templates."""
