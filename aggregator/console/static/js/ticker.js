// Asks again and again while the page is seen, and says nothing when it cannot: the shell tells of a lost connection.

export function every(ms, work) {
  let running = false;
  const turn = async () => {
    if (running || document.hidden) return;
    running = true;
    try {
      await work();
    } catch {
      // Told by the shell.
    } finally {
      running = false;
    }
  };
  setInterval(turn, ms);
  document.addEventListener("visibilitychange", turn);
  return turn();
}
