// Package lambda runs Lambda functions: the real binaries out of the deployment
// zip, under the Runtime API (2018-06-01) and the Extensions API (2020-01-01).
//
// An [Executor] owns all processes. A [Pool] runs one version of a function: it
// starts an execution environment for each invocation that finds none idle,
// and freezes it (SIGSTOP to all its processes) until the next one.
//
// What differs from AWS:
//   - Processes run as the user that runs the emulator, on its file system and
//     its network. LAMBDA_TASK_ROOT is a folder of the emulator's, the current
//     directory as on AWS, and TMPDIR is a folder that the environment has for
//     itself. A fixed port that an extension listens on exists once on the
//     machine, not once an environment.
//   - Layers are mounted on /opt in a mount namespace of the environment's own:
//     as root, or without it where the kernel allows user namespaces to
//     everybody. Where neither works, or /opt isn't a folder, LAMBDA_LAYER_ROOT
//     names the folder that stands for /opt. External extensions start in any
//     case.
//   - Timeouts and deadlines are in the machine's time, since the processes
//     are, whatever the cloud's clock shows.
//   - An invocation's result is returned once the environment is frozen, so
//     that the next one finds it idle. AWS returns it when the runtime has
//     answered.
//   - A failed Init isn't tried again within the same invocation.
//   - Only binaries for the machine's own architecture run.
package lambda
