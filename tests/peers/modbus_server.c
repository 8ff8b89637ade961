/* A Modbus server on libmodbus, for tests: one client, then it says what became of the coils and ends.
 *
 *   modbus_server <device> tcp          prints the port it listens on
 *   modbus_server <device> rtu <path>   unit 1 on a serial line, 9600 8N1
 *
 * Its tables hold what makers' documents print. climate: an XY-MD02 at 25.3 degrees and 54.7 percent (input registers 1
 * and 2). meter: an SDM120 at 230.2 V (0 and 1) and 50 Hz (0x46 and 0x47). Both, and door, a relay board with a closed
 * door: inputs 0, 9 and 1999 are set, and 230.2 stands in holding registers 0 and 1.
 */
#include <arpa/inet.h>
#include <modbus.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int serve(modbus_t *context, modbus_mapping_t *map) {
  uint8_t query[MODBUS_TCP_MAX_ADU_LENGTH];
  for (;;) {
    int length = modbus_receive(context, query);
    if (length == -1) break;
    if (length > 0 && modbus_reply(context, query, length, map) == -1) break;
  }
  printf("coils %d %d\n", map->tab_bits[0], map->tab_bits[1]);
  return fflush(stdout);
}

int main(int count, char **arguments) {
  modbus_mapping_t *map = modbus_mapping_new(16, 2048, 128, 1024);
  if (count < 3 || map == NULL) return 2;
  if (strcmp(arguments[1], "climate") == 0) {
    map->tab_input_registers[1] = 0x00FD;
    map->tab_input_registers[2] = 0x0223;
  } else if (strcmp(arguments[1], "meter") == 0) {
    map->tab_input_registers[0x00] = 0x4366;
    map->tab_input_registers[0x01] = 0x3333;
    map->tab_input_registers[0x46] = 0x4248;
  }
  map->tab_registers[0] = 0x4366;
  map->tab_registers[1] = 0x3333;
  map->tab_input_bits[0] = 1;
  map->tab_input_bits[9] = 1;
  map->tab_input_bits[1999] = 1;

  if (strcmp(arguments[2], "tcp") == 0) {
    modbus_t *context = modbus_new_tcp("127.0.0.1", 0);
    int listening = modbus_tcp_listen(context, 1);
    struct sockaddr_in own;
    socklen_t length = sizeof own;
    if (listening == -1 || getsockname(listening, (struct sockaddr *)&own, &length) == -1) return 1;
    printf("%d\n", ntohs(own.sin_port));
    fflush(stdout);
    if (modbus_tcp_accept(context, &listening) == -1) return 1;
    return serve(context, map);
  }
  if (count < 4) return 2;
  modbus_t *line = modbus_new_rtu(arguments[3], 9600, 'N', 8, 1);
  if (line == NULL || modbus_set_slave(line, 1) == -1 || modbus_connect(line) == -1) return 1;
  printf("ready\n");
  fflush(stdout);
  return serve(line, map);
}
