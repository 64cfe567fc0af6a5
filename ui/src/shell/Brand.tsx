export function Brand() {
  return (
    <a href="/admin/" className="brand">
      <img src="/admin/allo.svg" width={30} height={30} alt="" />
      allo
    </a>
  );
}
