# An agent on each client that has the metadata for it, in the network of the client, with one capability.
#
#   nomad var put nomad/jobs/partition-agent token=@token cert=@ca/agents.crt key=@ca/agents.key
#   nomad job run -var image=registry.example.com/partition-agent:0.1.0 docs/deploy/nomad/partition-agent.nomad.hcl
#
# docs/deploy/README.md says what the clients have to allow, and how the three files are made.
variable "image" {
  type        = string
  description = "Of docs/deploy/image/build, where the clients can pull it"
}

job "partition-agent" {
  type = "system"

  # What lets faults happen on a client.
  constraint {
    attribute = "${meta.partition_agent_faults}"
    value     = "allowed"
  }

  group "agent" {
    network {
      mode = "host"

      port "api" {
        static = 7433
      }

      # Where other agents find out whether they reach this one.
      port "probe" {
        static = 7434
      }
    }

    task "agent" {
      driver = "docker"
      # A capability that is added is in force for user 0 only.
      user = "0:0"
      # A stop waits until delayed packets have arrived: latency plus jitter are 62 s at most.
      kill_timeout = "130s"

      config {
        image           = var.image
        args            = ["serve", "--log", "json"]
        network_mode    = "host"
        cap_drop        = ["all"]
        cap_add         = ["net_admin"]
        security_opt    = ["no-new-privileges"]
        readonly_rootfs = true

        # File by file: every user may write in the directories of an allocation, and the agent refuses that.
        mount {
          type     = "bind"
          source   = "local/agent.toml"
          target   = "/etc/partition-agent/agent.toml"
          readonly = true
        }

        mount {
          type     = "bind"
          source   = "secrets/token"
          target   = "/etc/partition-agent/token"
          readonly = true
        }

        mount {
          type     = "bind"
          source   = "secrets/agent.crt"
          target   = "/etc/partition-agent/agent.crt"
          readonly = true
        }

        mount {
          type     = "bind"
          source   = "secrets/agent.key"
          target   = "/etc/partition-agent/agent.key"
          readonly = true
        }

        # In memory: the history and the audit log go with the allocation, and the clients need no volume.
        mount {
          type   = "tmpfs"
          target = "/run/partition-agent"
        }

        mount {
          type   = "tmpfs"
          target = "/var/lib/partition-agent"
        }
      }

      template {
        destination = "local/agent.toml"
        perms       = "0444"
        data        = <<-TOML
          listen = "0.0.0.0:7433"
          token_file = "/etc/partition-agent/token"

          [tls]
          cert = "/etc/partition-agent/agent.crt"
          key = "/etc/partition-agent/agent.key"

          [policy]
          # Besides those of every host: Nomad's HTTP, RPC and gossip.
          protected_ports = ["tcp/22", "udp/68", "udp/546", "tcp/4646", "tcp/4647", "tcp/4648", "udp/4648"]
          # Write the networks of the servers here: a client that does not reach them loses its allocations.
          protected_networks = []
        TOML
      }

      # The agent refuses a token and a key that others may read.
      template {
        destination = "secrets/token"
        perms       = "0400"
        data        = "{{ with nomadVar \"nomad/jobs/partition-agent\" }}{{ .token }}{{ end }}"
      }

      template {
        destination = "secrets/agent.crt"
        perms       = "0400"
        data        = "{{ with nomadVar \"nomad/jobs/partition-agent\" }}{{ .cert }}{{ end }}"
      }

      template {
        destination = "secrets/agent.key"
        perms       = "0400"
        data        = "{{ with nomadVar \"nomad/jobs/partition-agent\" }}{{ .key }}{{ end }}"
      }

      resources {
        cpu    = 50
        memory = 256
      }
    }
  }
}
