export function standIn(): (req: unknown, res: unknown, next: () => void) => void {
  return (_a, _b, n) => n();
}
